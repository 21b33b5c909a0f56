-- ARGV: epoch, version, change and acceptance of the store as it was seen; epoch, version and change that are known; channel. Marks a store that lacks what is
-- known, if it still is the one that was seen. The first mark stays. Returns whether it is marked.
local fields = redis.call('HMGET', HEAD, 'epoch', 'version', 'change', 'accepted', 'rolled_back')
if fields[5] then return 1 end
local default = { '', '0', '', '0' }
for i = 1, 4 do
  if (fields[i] or default[i]) ~= ARGV[i] then return 0 end
end
if ARGV[1] == ARGV[5] and has(ARGV[6], ARGV[7]) ~= 0 then return 0 end
redis.call('HSET', HEAD, 'rolled_back', ARGV[6] .. ' ' .. ARGV[7])
redis.pcall('PUBLISH', ARGV[8], '')
return 1
