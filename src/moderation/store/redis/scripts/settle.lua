-- Completes a job. ARGV: worker, key, stage; the new state, stage and JSON of the job; for a pending job, the delay in
-- milliseconds; for a job that is over, the time at which it ended, else empty; the number of these jobs to keep.
-- Returns 1 if the result was stored, else 0.
local flaw = misshapen()
if flaw then return flaw end
local worker, key, stage, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local held = lease(key)
if not held or held.worker ~= worker or held.stage ~= stage then return 0 end
redis.call('HDEL', LEASES, key)
if redis.call('HGET', STANDING, key) ~= 'p' .. stage then
  -- The job was requested again, and no worker has a lease on it.
  enqueue(key, now())
  return 0
end
unlist(key)
list(key, state, ARGV[5], ARGV[6])
if state == 'p' then
  enqueue(key, now() + tonumber(ARGV[7]))
elseif ARGV[8] ~= '' then
  local last = state == 'd' and DONE or ASIDE
  redis.call('ZADD', last, ARGV[8], key)
  while redis.call('ZCARD', last) > tonumber(ARGV[9]) do
    local oldest = redis.call('ZPOPMIN', last)[1]
    redis.call('ZREM', INDEX, state .. oldest)
    redis.call('HDEL', STANDING, oldest)
    redis.call('HDEL', JOBS, oldest)
  end
end
return 1
