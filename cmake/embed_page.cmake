# cmake -DFOLDER=web -DOUTPUT=page.cc -P embed_page.cmake: the files of the folder as C++ strings.

file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*.html ${FOLDER}/*.css ${FOLDER}/*.js)
set(table)
foreach(name ${files})
  file(READ ${FOLDER}/${name} content)
  string(APPEND table "    {\"/${name}\", R\"tepal_page(${content})tepal_page\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"balancing/load_balancer/dashboard.h\"

#include <utility>

namespace tepal::lb {

namespace {

constexpr std::pair<std::string_view, std::string_view> kFiles[] = {
${table}};

}  // namespace

const std::string_view* FindDashboardFile(std::string_view path) {
  for (const auto& [at, content] : kFiles) {
    if (at == path) return &content;
  }
  return nullptr;
}

}  // namespace tepal::lb
")
