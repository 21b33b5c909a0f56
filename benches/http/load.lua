-- The requests that wrk sends: the body in $BODY (otherwise an invite of three members), with the headers that browsers
-- and SDKs send, and with the callers' tokens in the file $TOKENS in turn. At the end, prints a line with the results.
local body = os.getenv("BODY") or '{"conv_id":"5f3c2a1b9e8d7c6b5a493827","members":["mary","nina","oscar"]}'
local requests, last = {}, 0

function init()
    local headers = {
        ["Content-Type"] = "application/json",
        ["Accept"] = "application/json, text/plain, */*",
        ["Accept-Encoding"] = "gzip, deflate, br, zstd",
        ["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.7",
        ["Cookie"] = "theme=dark; consent=necessary",
        ["Origin"] = "https://app.example.com",
        ["Referer"] = "https://app.example.com/rooms/5f3c2a1b9e8d7c6b5a493827",
        ["Sec-Fetch-Dest"] = "empty",
        ["Sec-Fetch-Mode"] = "cors",
        ["Sec-Fetch-Site"] = "cross-site",
        ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    }
    for token in io.lines(os.getenv("TOKENS")) do
        headers["Authorization"] = "Bearer " .. token
        requests[#requests + 1] = wrk.format("POST", nil, headers, body)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end

function done(summary, latency)
    local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
        summary.errors.timeout
    io.write(string.format("RESULT %d %d %d %.0f %.0f\n", summary.requests, summary.duration, failed,
        latency:percentile(50), latency:percentile(99)))
end
