-- Accepts the store with a new epoch. ARGV: epoch, layout, channel.
local flaw = misshapen()
if flaw then return flaw end
local id = redis.call('HMGET', HEAD, 'id', 'epoch')
redis.call('HSET', HEAD, 'id', id[1] or id[2] or ARGV[1], 'epoch', ARGV[1], 'accepted', whole(now()), 'layout', ARGV[2])
redis.call('HDEL', HEAD, 'rolled_back')
count(redis.call('HGET', HEAD, 'version') or '0', 0)
redis.pcall('PUBLISH', ARGV[3], '')
return 1
