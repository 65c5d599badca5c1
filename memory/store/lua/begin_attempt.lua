-- One try of a request: whose is it, and did its client get the answer?
--
-- A try that failed, or that was waited for in vain, is overtaken by the next one: should its turn be
-- stored by now, then it is found; if not, its nonce is marked, and a commit that is still on its way
-- is refused. So the answer that is stored is the one that was told.
--
-- A try may be overtaken by the next one: it hung somewhere until its client had given up. Where the
-- first that comes says that it is a retry, the one before it is still expected.
--
-- KEYS[1] the user's prefix
-- ARGV    1 'begin', 'overtake', 'told' or 'failed'   2 digest of the request   3 nonce of the try
--         4 milliseconds to remember it   5 now, milliseconds   6 '1' if the client says that it
--         tries again   7 milliseconds in which the same request counts as a retry all the same
--         8 nonce of the try that was waited for in vain
local key = KEYS[1] .. 'once:try:' .. ARGV[2]
local state, nonce, at = string.match(redis.call('GET', key) or '', '^(%S+) (%S+) (%S+)$')
local function note(becomes, whose, since)
  redis.call('SET', key, becomes .. ' ' .. whose .. ' ' .. since, 'PX', ARGV[4])
end
local function overtake()
  if redis.call('SET', KEYS[1] .. 'once:' .. nonce, 'overtaken', 'NX', 'PX', ARGV[4]) then
    note('open', ARGV[3], ARGV[5])
    return {'1', ARGV[3]}
  end
  note('open', nonce, ARGV[5])
  return {'0', nonce}
end
if ARGV[1] == 'overtake' and state == 'open' and nonce == ARGV[8] then
  return overtake()
end
if ARGV[1] == 'told' or ARGV[1] == 'failed' then
  if nonce == ARGV[3] and state == 'open' then
    note(ARGV[1], nonce, at)
  end
  return false
end
if state == 'failed' then
  return overtake()
end
local overtaken = ARGV[6] ~= '1' and redis.call('DEL', key .. ':late') == 1
if state == nil and ARGV[6] == '1' then
  redis.call('SET', key .. ':late', '', 'PX', ARGV[7])
end
local young = state == 'open' and tonumber(ARGV[5]) - tonumber(at) <= tonumber(ARGV[7])
if state and (ARGV[6] == '1' or young or overtaken) then
  return {'0', nonce}
end
note('open', ARGV[3], ARGV[5])
return {'1', ARGV[3]}
