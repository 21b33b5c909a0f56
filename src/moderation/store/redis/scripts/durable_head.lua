-- Returns the head of the store. The caller waits until this write is durable. A store that was never initialized is
-- not changed.
if redis.call('HEXISTS', HEAD, 'epoch') == 1 then touch() end
return head()
