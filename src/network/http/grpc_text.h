// The texts of gRPC in header fields: content type, timeout, status, binary metadata.
//
// After the protocol document of gRPC ("gRPC over HTTP2").

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "network/http/message.h"

namespace tepal::http {

// "application/grpc", alone or followed by "+proto" or ";...".
bool IsGrpcContentType(std::string_view content_type);
bool IsGrpcRequest(const RequestHead& head);

// "20m" is 20 ms: at most eight digits and one of H M S m u n. Nothing when malformed.
std::optional<Duration> ParseGrpcTimeout(std::string_view text);
// Rounded up to what eight digits can say; at least 1 ns.
std::string FormatGrpcTimeout(Duration timeout);

// When a request that came at `received` must be over, by its grpc-timeout; Instant::max() without
// one. kInternal when that is malformed.
Result<Instant> GrpcDeadline(const Headers& request, Instant received);

// grpc-message: percent-encoded where a character is not printable ASCII. Decoding takes anything.
std::string EncodeGrpcMessage(std::string_view message);
std::string DecodeGrpcMessage(std::string_view encoded);

// Adds grpc-status, and grpc-message when there is one.
void AddGrpcStatus(const Status& status, Headers& headers);
// From trailers, or from the head of an answer that is nothing but trailers; empty without a
// grpc-status.
std::optional<Status> ReadGrpcStatus(const Headers& headers);
// What an answer without any grpc-status means, by its HTTP status.
Status GrpcStatusFromHttp(int http_status);

// Metadata whose name ends in "-bin" is bytes, written in base64.
void AddBinaryMetadata(std::string_view name, std::string_view bytes, Headers& headers);
// Every value of that name, in order: fields may be repeated, and a proxy may have joined them by
// commas. With or without padding; values that are no base64 are left out.
std::vector<std::string> ReadBinaryMetadata(const Headers& headers, std::string_view name);

}  // namespace tepal::http
