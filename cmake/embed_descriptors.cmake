# cmake -DSET=descriptors.pb -DOUTPUT=descriptors.cc -P embed_descriptors.cmake: the bytes in C++.

file(READ ${SET} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"core/proto/descriptors.h\"

namespace tepal {

namespace {
constexpr unsigned char kSet[] = {${bytes}};
}  // namespace

std::string_view ProtoDescriptors() { return {reinterpret_cast<const char*>(kSet), sizeof(kSet)}; }

}  // namespace tepal
")
