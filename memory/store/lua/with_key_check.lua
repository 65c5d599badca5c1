-- Wraps a script of encrypted values, whose text precedes as the function `body`. It writes nothing
-- under a data key that is not the user's, and returns the user's key to a reader that lacks it.
--
-- KEYS[1] the user's prefix   ARGV those of the body, then 'write' or 'read', then the name of the
-- worker's data key, '' for none
-- Returns {1, '', reply of the body}, or {0, the user's data key or '', reply of a reading body}
local name, purpose = table.remove(ARGV), table.remove(ARGV)
local key = KEYS[1] .. 'key'
local stored = redis.call('GET', key) or ''
local is_current = string.sub(stored, 1, 16) == name
if purpose == 'write' and not is_current then
  return {0, stored}
end
local reply = body() or false
if purpose == 'write' then
  if redis.call('EXISTS', KEYS[1] .. 'user') == 1 then
    redis.call('PERSIST', key)
  else
    redis.call('EXPIRE', key, 691200)
  end
end
return {is_current and 1 or 0, is_current and '' or stored, reply}
