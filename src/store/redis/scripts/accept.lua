-- ARGV: epoch, layout, channel
local flaw = misshapen()
if flaw then return flaw end
redis.call('HSET', HEAD, 'epoch', ARGV[1], 'accepted', whole(now()), 'layout', ARGV[2])
count(redis.call('HGET', HEAD, 'version') or '0', 0)
redis.pcall('PUBLISH', ARGV[3], '')
return 1
