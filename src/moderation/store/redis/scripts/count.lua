-- Counts jobs whose keys begin with a prefix. ARGV: the prefix; the names of indexes, separated by spaces; the queues of
-- this process. Returns the number of jobs in each index; the number of due jobs in the queues; for how many milliseconds
-- the oldest of them has been due; the number of all jobs in the queues.
local time, indexed, due, oldest, all = now(), {}, 0, 0, 0
for index in string.gmatch(ARGV[2], '%S+') do
  local first = index .. ARGV[1]
  table.insert(indexed, redis.call('ZLEXCOUNT', INDEX, '[' .. first, '(' .. first .. '\255'))
end
for at = 3, #ARGV do
  local queue, last = ARGV[at], '(' .. place(ARGV[at], time + 1)
  due = due + redis.call('ZLEXCOUNT', QUEUES, '[' .. place(queue, 0), last)
  all = all + redis.call('ZLEXCOUNT', QUEUES, '[' .. queue .. '\0', '(' .. queue .. '\1')
  -- Jobs with the time 0 were moved to the front, and say nothing about the delay.
  local first = redis.call('ZRANGEBYLEX', QUEUES, '[' .. place(queue, 1), last, 'LIMIT', 0, 1)[1]
  if first then oldest = math.max(oldest, time - tonumber(string.sub(first, #queue + 2, #queue + 17))) end
end
return { indexed, due, oldest, all }
