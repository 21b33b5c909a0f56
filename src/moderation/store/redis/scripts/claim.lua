-- Claims due jobs. ARGV: worker; duration of the lease in milliseconds; for each queue, its name and its maximum number
-- of jobs. Returns for each job its JSON, and 1 if another worker had a lease on it, else 0.
local time, claimed = now(), {}
for at = 3, #ARGV, 2 do
  local first, last = place(ARGV[at], 0), place(ARGV[at], time + 1)
  for _, waiting in ipairs(redis.call('ZRANGEBYLEX', QUEUES, '[' .. first, '(' .. last, 'LIMIT', 0, ARGV[at + 1])) do
    local key = string.sub(waiting, #first + 1)
    local standing, job = redis.call('HGET', STANDING, key), redis.call('HGET', JOBS, key)
    -- If another program deleted a part of a job, skip this job and claim the others.
    if standing and job then
      local taken = lease(key) and '1' or '0'
      local till = time + tonumber(ARGV[2])
      lend(key, till, taken, string.match(standing, '%d.*'), ARGV[1])
      enqueue(key, till)
      table.insert(claimed, job)
      table.insert(claimed, taken)
    end
  end
end
return claimed
