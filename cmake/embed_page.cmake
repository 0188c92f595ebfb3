# cmake -DPAGE=page.html -DOUTPUT=page.cc -P embed_page.cmake: the page as a C++ string.

file(READ ${PAGE} content)
file(WRITE ${OUTPUT} "#include \"balancing/load_balancer/dashboard.h\"

namespace tepal::lb {

std::string_view DashboardPage() { return R\"tepal_page(${content})tepal_page\"; }

}  // namespace tepal::lb
")
