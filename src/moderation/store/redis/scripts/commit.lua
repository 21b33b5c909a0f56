-- Makes a change. ARGV: the expected head (epoch, version, change, accepted, entry count drift, rollback mark); the
-- version, id and JSON of the change; the number of changes to keep; the channel; the number of entries that change;
-- for each entry its key, 1 to store or 0 to delete, and its value; for each job its key and the beginning of its JSON,
-- to which the script appends the current time as the time of the request. Returns 0 if the head differs, 1 if the
-- change was made, and 2 if it was made but could not be published.
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
  -- Log records after the head are invalid, and `since` does not return them.
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
  list(key, 'p', '', version .. '.0', ARGV[at + 1] .. whole(time) .. '}')
  enqueue(key, ready)
  at = at + 2
end

redis.call('HSET', HEAD, 'version', version, 'change', id)
trace(version, id)
-- The drift stays the same after this change. Only an operator can reset it.
count(version, before)
-- Processes that miss this message find the change when they next read the store.
local told = redis.pcall('PUBLISH', channel, version)
return type(told) == 'number' and 1 or 2
