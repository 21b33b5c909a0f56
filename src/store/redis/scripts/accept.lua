-- ARGV: epoch, layout, channel
redis.call('HSET', HEAD, 'epoch', ARGV[1], 'accepted', whole(now()), 'layout', ARGV[2])
redis.call('PUBLISH', ARGV[3], '')
return 1
