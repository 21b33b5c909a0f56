-- Replaces jobs that no worker does. ARGV: the channel; the number of ended jobs to keep; for each job, the expected
-- state and stage, and the new job, as for `replace`. Returns for each job 1 if it was replaced, else 0.
local flaw = misshapen()
if flaw then return flaw end
local replaced = {}
for at = 3, #ARGV, 9 do
  local key, held = ARGV[at + 2], lease(ARGV[at + 2])
  local state, stage = string.match(redis.call('HGET', STANDING, key) or '', '^(%l)%l?(.*)$')
  local is_same = state == ARGV[at] and stage == ARGV[at + 1] and not (held and held.till > now())
  if is_same then replace(at + 2, ARGV[2]) end
  table.insert(replaced, is_same and 1 or 0)
end
redis.pcall('PUBLISH', ARGV[1], '')
return replaced
