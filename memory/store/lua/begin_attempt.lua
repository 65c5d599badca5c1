-- Begin, supersede or finish an attempt of a request.
--
-- A new attempt supersedes one that failed or timed out. If the earlier turn is stored by then, it
-- is found and answered again. Otherwise its nonce is marked, and its commit is refused. So the
-- stored response is the one that the client receives.
--
-- Requests can arrive out of order: if the first one to arrive says that it is a retry, the attempt
-- before it is still expected.
--
-- KEYS[1] the user's prefix
-- ARGV    1 'begin', 'overtake', 'delivered' or 'failed'   2 digest of the request
--         3 nonce of the attempt   4 milliseconds to remember it   5 now, milliseconds
--         6 '1' if the client declares a retry   7 milliseconds in which an equal request counts as
--         a retry without that   8 nonce of the attempt that timed out
-- Returns {'1', nonce} if this attempt does the work, with '1' as a third value if it replaces one
-- that failed; {'0', nonce of the earlier one} if not.
local key = KEYS[1] .. 'once:try:' .. ARGV[2]
local state, nonce, at = string.match(redis.call('GET', key) or '', '^(%S+) (%S+) (%S+)$')
local function save(new_state, new_nonce, since)
  redis.call('SET', key, new_state .. ' ' .. new_nonce .. ' ' .. since, 'PX', ARGV[4])
end
local function overtake()
  if redis.call('SET', KEYS[1] .. 'once:' .. nonce, 'overtaken', 'NX', 'PX', ARGV[4]) then
    save('open', ARGV[3], ARGV[5])
    return {'1', ARGV[3], '1'}
  end
  save('open', nonce, ARGV[5])
  return {'0', nonce}
end
if ARGV[1] == 'overtake' and state == 'open' and nonce == ARGV[8] then
  return overtake()
end
if ARGV[1] == 'delivered' or ARGV[1] == 'failed' then
  if nonce == ARGV[3] and state == 'open' then
    save(ARGV[1], nonce, at)
  end
  return false
end
if state == 'failed' then
  return overtake()
end
local is_overtaken = ARGV[6] ~= '1' and redis.call('DEL', key .. ':late') == 1
if state == nil and ARGV[6] == '1' then
  redis.call('SET', key .. ':late', '', 'PX', ARGV[7])
end
local is_recent = state == 'open' and tonumber(ARGV[5]) - tonumber(at) <= tonumber(ARGV[7])
if state and (ARGV[6] == '1' or is_recent or is_overtaken) then
  return {'0', nonce}
end
save('open', ARGV[3], ARGV[5])
return {'1', ARGV[3]}
