-- Lists jobs. ARGV: the lower bound in the index; the state and the prefix of the keys; the maximum number of jobs.
-- Returns for each job its JSON, and 1 if another worker had a lease on it before the current lease, else 0.
local found = {}
for _, listed in ipairs(redis.call('ZRANGEBYLEX', INDEX, ARGV[1], '(' .. ARGV[2] .. '\255', 'LIMIT', 0, ARGV[3])) do
  local key = string.sub(listed, 2)
  local held = lease(key)
  table.insert(found, redis.call('HGET', JOBS, key))
  table.insert(found, held and held.taken or '0')
end
return found
