-- Counts the bytes of a user's messages, memories and vectors. Joined before the scripts that store
-- them.
local function add_bytes(prefix, bytes)
  if bytes ~= 0 then
    redis.call('HINCRBY', prefix .. 'user', 'bytes', bytes)
  end
end

-- The bytes of hash fields that are about to be replaced or removed.
local function field_bytes(name, fields)
  local bytes = 0
  for _, value in ipairs(redis.call('HMGET', name, unpack(fields))) do
    bytes = bytes + (value and #value or 0)
  end
  return bytes
end

