-- `bench.v1.Stages/Repeat`.
local polyhost = require "polyhost"

local decode, encode = polyhost.decode, polyhost.encode

local M = {}

-- Exports it for `methods`: by name, each a list of the function and the types of its request and its reply, which one
-- of bytes has none of.
function M.export(methods)
    polyhost.export("bench.v1.Stages/Repeat", { raw = true }, function(bytes)
        local request = decode("bench.v1.RepeatRequest", bytes)
        local method = methods[request.method]
        if not method then
            error(polyhost.status("NOT_FOUND", "no method " .. request.method))
        end
        local work, request_type, reply_type = method[1], method[2], method[3]
        local inputs, stage, output = request.inputs, request.stage, ""
        for i = 0, request.times - 1 do
            local input = inputs[i % #inputs + 1]
            if not request_type then
                local reply = work(input)
                output = stage == "STAGE_ENCODE" and reply or ""
            else
                local message = decode(request_type, input)
                if stage ~= "STAGE_DECODE" then
                    local reply = work(message)
                    if stage == "STAGE_ENCODE" then
                        output = encode(reply_type, reply)
                    end
                end
            end
        end
        return encode("bench.v1.RepeatReply", { output = output })
    end)
end

return M
