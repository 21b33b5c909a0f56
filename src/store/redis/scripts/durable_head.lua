-- Which store this is, to be told when that is durable. One that was never begun is left as it is.
if redis.call('HEXISTS', HEAD, 'epoch') == 1 then touch() end
return head()
