-- Stores or deletes a checkpoint. ARGV: worker; key and stage of the job; key of the checkpoint; its value, or no
-- argument to delete it. Returns 1 if the worker has a lease on the job, else 0.
local held = lease(ARGV[2])
if not held or held.worker ~= ARGV[1] or held.stage ~= ARGV[3] then return 0 end
if ARGV[5] then
  redis.call('HSET', NOTES, ARGV[4], ARGV[5])
else
  redis.call('HDEL', NOTES, ARGV[4])
end
return 1
