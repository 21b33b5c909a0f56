-- ARGV: epoch, version, change, accepted, how many entries are astray and the mark of a rollback, as they must be; the change's version, id and JSON; how many changes are kept;
-- channel; how many entries change; for each of them its key, 1 or 0 for whether it stays, and its value; for each job its key, and its JSON up to when it was
-- asked for, which is now. Returns 0 if the head is another, 1 if the change is made, and 2 if it is and nobody could be told.
local flaw = misshapen()
if flaw then return flaw end
local head = redis.call('HMGET', HEAD, 'epoch', 'version', 'change', 'accepted', 'rolled_back')
local default = { '', '0', '', '0' }
for i = 1, 4 do
  if (head[i] or default[i]) ~= ARGV[i] then return 0 end
end
local before = missing()
if whole(math.abs(before)) ~= ARGV[5] or (head[5] or '') ~= ARGV[6] then return 0 end
local version, id, json, kept, channel, puts = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12])

local function log()
  local logged = redis.pcall('XADD', LOG, 'MAXLEN', kept, version .. '-0', 'change', json)
  return type(logged) == 'table' and logged.err and logged
end
flaw = log()
if flaw and string.find(flaw.err, 'equal or smaller', 1, true) then
  -- What follows the head in the log doesn't count, and `since` tells nobody of it.
  redis.call('DEL', LOG)
  flaw = log()
end
if flaw then return flaw end

local at = 13
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
trace(version, id)
-- What is missing stays so, whatever is added: that all is well only an operator says.
count(version, before)
-- Who isn't told finds out by asking.
local told = redis.pcall('PUBLISH', channel, version)
return type(told) == 'number' and 1 or 2
