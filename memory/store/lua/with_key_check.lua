-- Appended to a script whose text stands above as `body`, where values are sealed: nothing is written
-- under a data key that is not the user's, and a reader learns of a key that it does not hold.
--
-- KEYS[1] the user's prefix   ARGV the body's, then 'write' or 'read', then the name of the data key
-- that the worker holds, '' for none
-- Answers {1, '', the body's answer}, or {0, the user's data key or '', the body's answer if it read}
local name, purpose = table.remove(ARGV), table.remove(ARGV)
local key = KEYS[1] .. 'key'
local held = redis.call('GET', key) or ''
local same = string.sub(held, 1, 16) == name
if purpose == 'write' and not same then
  return {0, held}
end
local answer = body() or false
if purpose == 'write' then
  if redis.call('EXISTS', KEYS[1] .. 'user') == 1 then
    redis.call('PERSIST', key)
  else
    redis.call('EXPIRE', key, 691200)
  end
end
return {same and 1 or 0, same and '' or held, answer}
