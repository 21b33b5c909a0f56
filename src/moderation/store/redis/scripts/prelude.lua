local HEAD, ENTRIES, LOG, JOBS, STANDING, INDEX, QUEUES, QUEUED, LEASES, DONE, NOTES, ASIDE, LINEAGE = unpack(KEYS)

-- The type of each key, if the key exists.
local SHAPES = {
  [HEAD] = 'hash', [ENTRIES] = 'hash', [LOG] = 'stream', [JOBS] = 'hash', [STANDING] = 'hash', [INDEX] = 'zset', [QUEUES] = 'zset',
  [QUEUED] = 'hash', [LEASES] = 'hash', [DONE] = 'zset', [NOTES] = 'hash', [ASIDE] = 'zset', [LINEAGE] = 'string',
}

-- Returns an error if another program has stored a value of another type under a key. A failed script does not undo its
-- writes, so a script that writes several keys calls this function first.
local function misshapen()
  for key, shape in pairs(SHAPES) do
    local found = redis.call('TYPE', key).ok
    if found ~= shape and found ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. shape .. ': another program wrote it. Restore the store')
    end
  end
end

-- Returns the time of the server's clock, in milliseconds.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Returns the number of missing entries, compared with the changes. It is below 0 if there are excess entries, and 0 if
-- the number is unknown: a version of chat-signer that does not count entries made the last change.
local function missing()
  local counted = redis.call('HMGET', HEAD, 'entries', 'counted', 'version')
  if not counted[1] or counted[2] ~= (counted[3] or '0') then return 0 end
  return counted[1] - redis.call('HLEN', ENTRIES)
end

-- Returns the head of the store.
local function head()
  local fields = redis.call('HMGET', HEAD, 'epoch', 'version', 'change', 'accepted', 'layout', 'id', 'rolled_back')
  fields[8] = math.abs(missing())
  return fields
end

-- The lineage is a ring buffer. It has the first eight characters of the ids of the last changes, one place for each
-- change. It is longer than the log, so it shows whether a change was made here after the log has dropped it.
local PLACES, WIDTH = 500000, 8

local function trace(version, id)
  redis.call('SETRANGE', LINEAGE, version % PLACES * WIDTH, string.sub(id, 1, WIDTH))
end

-- Returns 1 if this change was made in this store, 0 if not, -1 if this is unknown.
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
  -- An earlier version did not write the lineage.
  if #traced < WIDTH or string.find(traced, '%z') then return -1 end
  return traced == string.sub(id, 1, WIDTH) and 1 or 0
end

-- Stores the expected number of entries after this change, including the missing entries.
local function count(version, lacking)
  redis.call('HSET', HEAD, 'entries', whole(redis.call('HLEN', ENTRIES) + lacking), 'counted', version)
end

-- Writes a field that has no meaning. A client that waits until this write is durable waits for all earlier writes.
local function touch()
  redis.call('HINCRBY', HEAD, 'asked', 1)
end

-- Returns the lease of a job: the worker, the stage (the number of the change that requested the job, and the number of
-- attempts), the end, and whether another worker had a lease before. Returns nil if there is no lease.
local function lease(key)
  local text = redis.call('HGET', LEASES, key)
  if not text then return nil end
  local till, taken, stage, worker = string.match(text, '^(%d+) (%d) (%S+) (.*)$')
  return { till = tonumber(till), taken = taken, stage = stage, worker = worker }
end

local function lend(key, till, taken, stage, worker)
  redis.call('HSET', LEASES, key, table.concat({ whole(till), taken, stage, worker }, ' '))
end

-- Returns the queue of a job: the first two parts of its key, and the last part if it begins with `*`.
local function queue(key)
  return string.match(key, '^[^:]*:?[^:]*') .. (string.match(key, ':%*[^:]*$') or '')
end

-- Returns the beginning of the queue member for jobs that can be claimed at this time.
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

-- Removes a job from the index, its queue, and the lists of jobs that ended.
local function unlist(key)
  local standing = redis.call('HGET', STANDING, key)
  if standing then
    local cause = string.match(standing, '^p(%l)')
    if cause then redis.call('ZREM', INDEX, 'f' .. cause .. key) end
    redis.call('ZREM', INDEX, string.sub(standing, 1, 1) .. key)
    dequeue(key)
    redis.call('ZREM', DONE, key)
    redis.call('ZREM', ASIDE, key)
  end
end

-- Stores a job and adds it to the index under this state (p, d or s) and, if it is pending and failed, under the cause,
-- which is a letter.
local function list(key, state, cause, stage, json)
  redis.call('HSET', JOBS, key, json)
  redis.call('HSET', STANDING, key, state .. cause .. stage)
  redis.call('ZADD', INDEX, 0, state .. key)
  if cause ~= '' then redis.call('ZADD', INDEX, 0, 'f' .. cause .. key) end
end

-- Replaces a job. The arguments from `at` on are: key, state, cause, stage and JSON; for a pending job, the delay in
-- milliseconds or `first`; for a job that is over, the time at which it ended, else empty. Of these jobs, `kept` are kept.
local function replace(at, kept)
  local key, state, cause, stage, json, delay, ended = unpack(ARGV, at, at + 6)
  unlist(key)
  list(key, state, cause, stage, json)
  if state == 'p' then
    enqueue(key, delay == 'first' and 0 or now() + tonumber(delay))
  elseif ended ~= '' then
    local last = state == 'd' and DONE or ASIDE
    redis.call('ZADD', last, ended, key)
    while redis.call('ZCARD', last) > tonumber(kept) do
      local oldest = redis.call('ZPOPMIN', last)[1]
      redis.call('ZREM', INDEX, state .. oldest)
      redis.call('HDEL', STANDING, oldest)
      redis.call('HDEL', JOBS, oldest)
    end
  end
end
