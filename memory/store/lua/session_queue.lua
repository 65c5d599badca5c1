-- The queue of turns that wait for a session: first in, first out; one that interrupts goes first.
-- A turn that has not asked again within this time is gone, and loses its place.
local WAITER_MILLISECONDS = 2000

-- Lock a session for a turn, or queue the turn, depending on its policy.
-- Returns 0 if it holds the lock, else its place in the queue.
local function lock_session(prefix, sid, token, milliseconds, policy)
  local lease, queue = prefix .. 'lease:turn:' .. sid, prefix .. 'lease:line:' .. sid
  local waiter = prefix .. 'lease:here:' .. sid .. ':'
  local holder, head = redis.call('GET', lease), redis.call('LINDEX', queue, 0)
  while head and head ~= token and redis.call('EXISTS', waiter .. head) == 0 do
    redis.call('LPOP', queue)
    head = redis.call('LINDEX', queue, 0)
  end
  if (not holder or holder == token) and (not head or head == token) then
    redis.call('LPOP', queue)
    redis.call('DEL', waiter .. token)
    redis.call('SET', lease, token, 'PX', milliseconds)
    return 0
  end
  if policy == 'reject' then
    return 1
  end
  if not redis.call('LPOS', queue, token) then
    if policy == 'interrupt' and holder then
      redis.call('SET', prefix .. 'lease:stop:' .. sid, holder, 'PX', milliseconds)
    end
    redis.call(policy == 'interrupt' and 'LPUSH' or 'RPUSH', queue, token)
  end
  redis.call('SET', waiter .. token, '', 'PX', WAITER_MILLISECONDS)
  redis.call('PEXPIRE', queue, WAITER_MILLISECONDS)
  return redis.call('LPOS', queue, token) + 1
end
