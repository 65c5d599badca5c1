-- Who has a session next: turns that wait for it stand in a line, and who came first goes first;
-- but one that interrupts goes before all who wait.
-- One that has not asked again for a while is gone, and loses its place.
local HERE_MILLISECONDS = 2000

-- Hold a session for a turn, or have the turn wait, as its policy says; 0, or its place in the line.
local function lock_session(prefix, sid, token, milliseconds, policy)
  local lease, line = prefix .. 'lease:turn:' .. sid, prefix .. 'lease:line:' .. sid
  local here = prefix .. 'lease:here:' .. sid .. ':'
  local holder, head = redis.call('GET', lease), redis.call('LINDEX', line, 0)
  while head and head ~= token and redis.call('EXISTS', here .. head) == 0 do
    redis.call('LPOP', line)
    head = redis.call('LINDEX', line, 0)
  end
  if (not holder or holder == token) and (not head or head == token) then
    redis.call('LPOP', line)
    redis.call('DEL', here .. token)
    redis.call('SET', lease, token, 'PX', milliseconds)
    return 0
  end
  if policy == 'reject' then
    return 1
  end
  if not redis.call('LPOS', line, token) then
    if policy == 'interrupt' and holder then
      redis.call('SET', prefix .. 'lease:stop:' .. sid, holder, 'PX', milliseconds)
    end
    redis.call(policy == 'interrupt' and 'LPUSH' or 'RPUSH', line, token)
  end
  redis.call('SET', here .. token, '', 'PX', HERE_MILLISECONDS)
  redis.call('PEXPIRE', line, HERE_MILLISECONDS)
  return redis.call('LPOS', line, token) + 1
end
