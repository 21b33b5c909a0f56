-- The requests that wrk sends for benches/tokens: the JSON body $BODY with the caller's token $TOKEN. At the end, prints a
-- line with the results.
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")

function done(summary)
    local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
        summary.errors.timeout
    io.write(string.format("RESULT %d %d\n", summary.requests, failed))
end
