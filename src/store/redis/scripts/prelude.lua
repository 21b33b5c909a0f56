local HEAD, ENTRIES, LOG, JOBS, STANDING, INDEX, QUEUES, QUEUED, LEASES, DONE, NOTES, ASIDE, LINEAGE = unpack(KEYS)

-- What each of them holds, where there is anything.
local SHAPES = {
  [HEAD] = 'hash', [ENTRIES] = 'hash', [LOG] = 'stream', [JOBS] = 'hash', [STANDING] = 'hash', [INDEX] = 'zset', [QUEUES] = 'zset',
  [QUEUED] = 'hash', [LEASES] = 'hash', [DONE] = 'zset', [NOTES] = 'hash', [ASIDE] = 'zset', [LINEAGE] = 'string',
}

-- An error if something else has put another thing in the place of a key. What a script has written when it fails stays written, so whoever writes
-- several keys asks for that first.
local function misshapen()
  for key, shape in pairs(SHAPES) do
    local found = redis.call('TYPE', key).ok
    if found ~= shape and found ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. shape .. ': something else wrote it. Bring back what it held')
    end
  end
end

-- The server's clock, in milliseconds.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- How many of the entries that changes have left are missing; less than 0 where there are too many. 0 where that can't be known: a chat-signer that
-- doesn't count has made the last change.
local function missing()
  local counted = redis.call('HMGET', HEAD, 'entries', 'counted', 'version')
  if not counted[1] or counted[2] ~= (counted[3] or '0') then return 0 end
  return counted[1] - redis.call('HLEN', ENTRIES)
end

-- Which store this is.
local function head()
  local fields = redis.call('HMGET', HEAD, 'epoch', 'version', 'change', 'accepted', 'layout', 'id', 'rolled_back')
  fields[8] = math.abs(missing())
  return fields
end

-- The lineage has the first eight characters of the id of each of the last changes, in a ring of this many places. It is longer than the log, so it still
-- tells whether a change was made here when the log has lost it.
local PLACES, WIDTH = 500000, 8

local function trace(version, id)
  redis.call('SETRANGE', LINEAGE, version % PLACES * WIDTH, string.sub(id, 1, WIDTH))
end

-- 1 if this change was made here, 0 if not, -1 if nobody can tell any more.
local function has(version, id)
  local newest = tonumber(redis.call('HGET', HEAD, 'version') or '0')
  version = tonumber(version)
  if version == 0 then return 1 end
  if version > newest then return 0 end
  local logged = redis.call('XRANGE', LOG, whole(version) .. '-0', whole(version) .. '-0')[1]
  if logged then return cjson.decode(logged[2][2]).id == id and 1 or 0 end
  if newest - version >= PLACES then return -1 end
  local first = version % PLACES * WIDTH
  local traced = redis.call('GETRANGE', LINEAGE, first, first + WIDTH - 1)
  -- An earlier version left no trace.
  if #traced < WIDTH or string.find(traced, '%z') then return -1 end
  return traced == string.sub(id, 1, WIDTH) and 1 or 0
end

-- Counts the entries as of this change, with those that are missing.
local function count(version, lacking)
  redis.call('HSET', HEAD, 'entries', whole(redis.call('HLEN', ENTRIES) + lacking), 'counted', version)
end

-- A write that is of no account. Who waits until it is durable waits for all that anybody has written before.
local function touch()
  redis.call('HINCRBY', HEAD, 'asked', 1)
end

-- Who claimed a job, at which stage (the change that asked for it and how often it was tried), until when, and whether from somebody else. Nothing where nobody did.
local function lease(key)
  local text = redis.call('HGET', LEASES, key)
  if not text then return nil end
  local till, taken, stage, worker = string.match(text, '^(%d+) (%d) (%S+) (.*)$')
  return { till = tonumber(till), taken = taken, stage = stage, worker = worker }
end

local function lend(key, till, taken, stage, worker)
  redis.call('HSET', LEASES, key, table.concat({ whole(till), taken, stage, worker }, ' '))
end

-- Where a job waits: the first two parts of its key, and those whose key ends with `*` on their own.
local function queue(key)
  local whom = string.match(key, '^[^:]*:?[^:]*')
  return string.sub(key, -2) == ':*' and whom .. ':*' or whom
end

-- The place in a queue of what may be claimed then.
local function place(queue, time)
  return queue .. '\0' .. string.format('%016.0f', time)
end

local function dequeue(key)
  local place = redis.call('HGET', QUEUED, key)
  if place then
    redis.call('ZREM', QUEUES, place .. key)
    redis.call('HDEL', QUEUED, key)
  end
end

local function enqueue(key, time)
  dequeue(key)
  local place = place(queue(key), time)
  redis.call('ZADD', QUEUES, 0, place .. key)
  redis.call('HSET', QUEUED, key, place)
end

-- Takes a job out of what finds it.
local function unlist(key)
  local standing = redis.call('HGET', STANDING, key)
  if standing then
    redis.call('ZREM', INDEX, string.sub(standing, 1, 1) .. key)
    dequeue(key)
    redis.call('ZREM', DONE, key)
    redis.call('ZREM', ASIDE, key)
  end
end

-- Puts a job in this state (p, d or s) where it is found by it.
local function list(key, state, stage, json)
  redis.call('HSET', JOBS, key, json)
  redis.call('HSET', STANDING, key, state .. stage)
  redis.call('ZADD', INDEX, 0, state .. key)
end
