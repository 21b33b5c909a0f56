-- ARGV: worker, milliseconds; queues, each with the most jobs that are taken of it. Returns the JSON of each and 1 or 0 for whether somebody had it.
local time, claimed = now(), {}
for at = 3, #ARGV, 2 do
  local first, last = place(ARGV[at], 0), place(ARGV[at], time + 1)
  for _, waiting in ipairs(redis.call('ZRANGEBYLEX', QUEUES, '[' .. first, '(' .. last, 'LIMIT', 0, ARGV[at + 1])) do
    local key = string.sub(waiting, #first + 1)
    local standing, job = redis.call('HGET', STANDING, key), redis.call('HGET', JOBS, key)
    -- What something else has torn is left, and is no reason to leave what is whole.
    if standing and job then
      local taken = lease(key) and '1' or '0'
      local till = time + tonumber(ARGV[2])
      lend(key, till, taken, string.sub(standing, 2), ARGV[1])
      enqueue(key, till)
      table.insert(claimed, job)
      table.insert(claimed, taken)
    end
  end
end
return claimed
