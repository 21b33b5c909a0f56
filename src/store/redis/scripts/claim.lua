-- ARGV: worker, milliseconds; queues, each with the most jobs that are taken of it. Returns the JSON of each and 1 or 0 for whether somebody had it.
local time, claimed = now(), {}
for at = 3, #ARGV, 2 do
  local first, last = place(ARGV[at], 0), place(ARGV[at], time + 1)
  for _, waiting in ipairs(redis.call('ZRANGEBYLEX', QUEUES, '[' .. first, '(' .. last, 'LIMIT', 0, ARGV[at + 1])) do
    local key = string.sub(waiting, #first + 1)
    local stage = string.sub(redis.call('HGET', STANDING, key), 2)
    local taken = lease(key) and '1' or '0'
    local till = time + tonumber(ARGV[2])
    lend(key, till, taken, stage, ARGV[1])
    enqueue(key, till)
    table.insert(claimed, redis.call('HGET', JOBS, key))
    table.insert(claimed, taken)
  end
end
return claimed
