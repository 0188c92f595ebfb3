// gRPC over the streams of HTTP/2: messages with their length in front, status in the trailers.

#pragma once

#include "network/http/grpc_client.h"
#include "network/http/grpc_message.h"
#include "network/http/grpc_server.h"
#include "network/http/grpc_text.h"
