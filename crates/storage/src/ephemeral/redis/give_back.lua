-- Fills ARGV[1] messages into every bucket (KEYS; their rates follow in ARGV) that isn't held and has a rate. Levels as in `take.lua`.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
    local rate = tonumber(ARGV[i + 1])
    local bucket = redis.call('HMGET', key, 'level', 'at', 'held')
    if rate > 0 and (tonumber(bucket[3]) or 0) <= now then
        local elapsed = math.max(0, math.min(now - (tonumber(bucket[2]) or now), 1000000))
        local level = (tonumber(bucket[1]) or 0) + elapsed * rate + ARGV[1] * 1000000
        redis.call('HSET', key, 'level', string.format('%.0f', math.min(level, rate * 1000000)), 'at', string.format('%.0f', now))
        redis.call('PEXPIRE', key, 600000)
    end
end
