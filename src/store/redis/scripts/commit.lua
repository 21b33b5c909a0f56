-- ARGV: epoch, version, change, accepted and how many entries are astray, as they must be; the change's version, id and JSON; how many changes are kept;
-- channel; how many entries change; for each of them its key, 1 or 0 for whether it stays, and its value; for each job its key, and its JSON up to when it was
-- asked for, which is now.
local head = redis.call('HMGET', HEAD, 'epoch', 'version', 'change', 'accepted')
local default = { '', '0', '', '0' }
for i = 1, 4 do
  if (head[i] or default[i]) ~= ARGV[i] then return 0 end
end
local before = missing()
if whole(math.abs(before)) ~= ARGV[5] then return 0 end
local version, id, json, kept, channel, puts = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])

redis.call('XADD', LOG, 'MAXLEN', kept, version .. '-0', 'change', json)
local at = 12
for _ = 1, puts do
  if ARGV[at + 1] == '1' then
    redis.call('HSET', ENTRIES, ARGV[at], ARGV[at + 2])
  else
    redis.call('HDEL', ENTRIES, ARGV[at])
  end
  at = at + 3
end

local time = now()
while at < #ARGV do
  local key, ready, held = ARGV[at], time, lease(ARGV[at])
  if held then
    lend(key, held.till, '0', held.stage, held.worker)
    ready = math.max(ready, held.till)
  end
  unlist(key)
  list(key, 'p', version .. '.0', ARGV[at + 1] .. whole(time) .. '}')
  enqueue(key, ready)
  at = at + 2
end

redis.call('HSET', HEAD, 'version', version, 'change', id)
-- What is missing stays so, whatever is added: that all is well only an operator says.
count(version, before)
redis.call('PUBLISH', channel, version)
return 1
