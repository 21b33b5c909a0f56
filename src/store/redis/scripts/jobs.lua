-- ARGV: where the index is read from; the state, and what the keys begin with; the most. Returns the JSON of each and 1 or 0 for whether somebody else had it.
local found = {}
for _, listed in ipairs(redis.call('ZRANGEBYLEX', INDEX, ARGV[1], '(' .. ARGV[2] .. '\255', 'LIMIT', 0, ARGV[3])) do
  local key = string.sub(listed, 2)
  local held = lease(key)
  table.insert(found, redis.call('HGET', JOBS, key))
  table.insert(found, held and held.taken or '0')
end
return found
