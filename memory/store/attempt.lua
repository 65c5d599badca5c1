-- One try of a request: whose is it, and did its client get the answer?
--
-- KEYS[1] the user's prefix
-- ARGV    1 'begin', 'told' or 'end'   2 digest of the request   3 nonce of the try
--         4 milliseconds to remember it   5 now, milliseconds   6 '1' if the client says that it
--         tries again   7 milliseconds in which the same request counts as a retry all the same
local key = KEYS[1] .. 'once:try:' .. ARGV[2]
local state, nonce, at = string.match(redis.call('GET', key) or '', '^(%S+) (%S+) (%S+)$')
if ARGV[1] == 'begin' then
  local young = state == 'open' and tonumber(ARGV[5]) - tonumber(at) <= tonumber(ARGV[7])
  if state and (ARGV[6] == '1' or young) then
    return nonce
  end
  redis.call('SET', key, 'open ' .. ARGV[3] .. ' ' .. ARGV[5], 'PX', ARGV[4])
elseif nonce == ARGV[3] and ARGV[1] == 'told' then
  redis.call('SET', key, 'told ' .. nonce .. ' ' .. at, 'PX', ARGV[4])
elseif nonce == ARGV[3] and state == 'open' then
  redis.call('DEL', key)
end
return false
