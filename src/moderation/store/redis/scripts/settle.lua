-- Completes a job. ARGV: worker; stage of the job when it was claimed; the number of ended jobs to keep; the new job, as
-- for `replace`. Returns 1 if the result was stored, else 0.
local flaw = misshapen()
if flaw then return flaw end
local worker, stage, key = ARGV[1], ARGV[2], ARGV[4]
local held = lease(key)
if not held or held.worker ~= worker or held.stage ~= stage then return 0 end
redis.call('HDEL', LEASES, key)
if string.match(redis.call('HGET', STANDING, key) or '', '^p%l?(.*)$') ~= stage then
  -- The job was requested again, and no worker has a lease on it.
  enqueue(key, now())
  return 0
end
replace(4, ARGV[3])
return 1
