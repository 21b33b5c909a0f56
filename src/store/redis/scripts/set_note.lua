-- ARGV: worker, the job's key and stage, the note's key, and the note where there is to be one. Returns whether the worker has the job.
local held = lease(ARGV[2])
if not held or held.worker ~= ARGV[1] or held.stage ~= ARGV[3] then return 0 end
if ARGV[5] then
  redis.call('HSET', NOTES, ARGV[4], ARGV[5])
else
  redis.call('HDEL', NOTES, ARGV[4])
end
return 1
