-- ARGV: worker, milliseconds, the most jobs. Returns the JSON of each and 1 or 0 for whether somebody had it.
local time, claimed = now(), {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', READY, '-inf', whole(time), 'LIMIT', 0, ARGV[3])) do
  local stage = string.sub(redis.call('HGET', STANDING, key), 2)
  local taken = lease(key) and '1' or '0'
  local till = time + tonumber(ARGV[2])
  lend(key, till, taken, stage, ARGV[1])
  redis.call('ZADD', READY, whole(till), key)
  table.insert(claimed, redis.call('HGET', JOBS, key))
  table.insert(claimed, taken)
end
return claimed
