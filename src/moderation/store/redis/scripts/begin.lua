-- Initializes a store that was never initialized. ARGV: epoch, layout.
if redis.call('HEXISTS', HEAD, 'epoch') == 0 then
  redis.call('HSET', HEAD, 'id', ARGV[1], 'epoch', ARGV[1], 'layout', ARGV[2])
else
  touch()
end
return 1
