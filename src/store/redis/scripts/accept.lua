-- ARGV: epoch, layout, channel
redis.call('HSET', HEAD, 'epoch', ARGV[1], 'accepted', '1', 'layout', ARGV[2])
redis.call('PUBLISH', ARGV[3], '')
return 1
