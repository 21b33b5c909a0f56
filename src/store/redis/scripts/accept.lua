-- ARGV: epoch, layout, channel
redis.call('HSET', HEAD, 'epoch', ARGV[1], 'accepted', whole(now()), 'layout', ARGV[2])
local version = redis.call('HGET', HEAD, 'version')
-- Changes are numbered from 1 again: none of them may be there.
if not version then redis.call('DEL', LOG) end
count(version or '0', 0)
redis.call('PUBLISH', ARGV[3], '')
return 1
