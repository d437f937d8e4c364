-- The middleware in Lua.
local json = require "json"
local polyhost = require "polyhost"

local find, gsub, sub = string.find, string.gsub, string.sub

polyhost.proto "bench/v1/middleware.proto"

-- Lua has no HMAC; the host has one.
local hmac_sha256 = polyhost.service "bench.v1.Crypto/HmacSha256"

local PREFIX = "/api/v1/"
local DROPPED = { ["connection"] = true, ["keep-alive"] = true, ["x-signature"] = true }

local counts = {}

local HEX = {}
for code = 0, 255 do
    HEX[string.char(code)] = string.format("%02x", code)
end

local function hex(bytes)
    return (gsub(bytes, ".", HEX))
end

local function is_signed(request, key)
    local message = request.method .. "\n" .. request.path .. "\n" .. request.body
    local reply = hmac_sha256({ key = "secret-" .. key, message = message })
    return hex(reply.digest) == request.headers["x-signature"]
end

local function rewritten(request, body, count)
    local mark = find(request.path, "?", 1, true) or #request.path + 1
    local path, query = sub(request.path, 1, mark - 1), sub(request.path, mark)
    path = gsub(path, "//+", "/")
    if #path > 1 then
        path = gsub(path, "/$", "")
    end
    local headers = {}
    for name, value in pairs(request.headers) do
        if not DROPPED[name] then
            headers[name] = value
        end
    end
    headers["via"] = "polyhost"
    if sub(path, 1, #PREFIX) == PREFIX then
        path = "/internal/" .. sub(path, #PREFIX + 1)
        headers["x-forwarded-prefix"] = "/api/v1"
    end
    return { path = path .. query, headers = headers, body = body, count = count }
end

local function integer(value)
    if type(value) ~= "number" then
        error({ message = "no integer" })
    end
    return value
end

local function total(items)
    if getmetatable(items) ~= json.array then
        error({ message = "items is no list" })
    end
    local sum = 0
    for _, item in ipairs(items) do
        sum = sum + integer(item.price) * integer(item.quantity)
    end
    return sum
end

local function transform(body, key)
    local value = json.decode(body)
    if type(value) ~= "table" or getmetatable(value) then
        error({ message = "the body is no object" })
    end
    value.password = nil
    value.gateway = { key = key }
    if value.items ~= nil then
        value.total = total(value.items)
    end
    return json.encode(value)
end

polyhost.export("bench.v1.Middleware/Handle", function(request)
    local key = request.headers["x-key"]
    if not key or not is_signed(request, key) then
        return { status = 401 }
    end
    local body = request.body
    if sub(request.headers["content-type"] or "", 1, 16) == "application/json" then
        local good
        good, body = pcall(transform, body, key)
        if not good then
            return { status = 400 }
        end
    end
    counts[key] = (counts[key] or 0) + 1
    return rewritten(request, body, counts[key])
end)

polyhost.export("bench.v1.Middleware/Rewrite", function(request)
    return rewritten(request, request.body)
end)
