// What the .proto files of this folder say, as data: for server reflection.

#pragma once

#include <string_view>

namespace tepal {

// A serialized google.protobuf.FileDescriptorSet of the services and all that they import. It is
// compiled in, from what protoc makes of the files.
std::string_view ProtoDescriptors();

}  // namespace tepal
