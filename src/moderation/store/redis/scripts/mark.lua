-- Marks a store that has lost changes. ARGV: epoch, version, change and time of acceptance of the store as the process
-- saw it; epoch, version and change that the process knows; the channel. The mark is set only if the store did not
-- change meanwhile and lacks the known change. The first mark stays. Returns 1 if the store is marked, else 0.
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
