// Any protobuf message as JSON in the layout of the v2 protocol's servers: the fields' own names in
// the order they are declared, every default written out, 64-bit integers as numbers, enums by
// name. Unset messages and unset members of a oneof are left out. Map keys are sorted.

#pragma once

#include "core/json/writer.h"

namespace google::protobuf {
class Message;
}

namespace tepal {

void WriteProtoJson(const google::protobuf::Message& message, json::Writer& out);

}  // namespace tepal
