-- Unlink keys of a user. KEYS[1] the user's prefix   ARGV their names, whole
local gone = 0
for _, name in ipairs(ARGV) do
  gone = gone + redis.call('UNLINK', name)
end
return gone
