-- Lets nothing through the bucket KEYS[1] for ARGV[1] milliseconds; then it begins empty.
local time = redis.call('TIME')
local held = time[1] * 1000000 + time[2] + ARGV[1] * 1000
if held > (tonumber(redis.call('HGET', KEYS[1], 'held')) or 0) then
    local at = string.format('%.0f', held)
    redis.call('HSET', KEYS[1], 'level', 0, 'at', at, 'held', at)
    redis.call('PEXPIRE', KEYS[1], ARGV[1] + 600000)
end
