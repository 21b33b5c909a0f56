-- Returns the head of the store, and the JSON of the changes after a version, in order. ARGV: the version; the maximum
-- number of changes; the limit in bytes. Records after the head are invalid.
local changes, bytes, last = {}, 0, ARGV[1]
local newest = redis.call('HGET', HEAD, 'version') or '0'
while #changes < tonumber(ARGV[2]) and bytes < tonumber(ARGV[3]) do
  local found = redis.call('XRANGE', LOG, '(' .. last .. '-0', newest .. '-0', 'COUNT', 1)[1]
  if not found then break end
  last = string.match(found[1], '^%d+')
  table.insert(changes, found[2][2])
  bytes = bytes + #found[2][2]
end
return { head(), changes }
