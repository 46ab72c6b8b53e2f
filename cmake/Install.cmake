# SPDX-License-Identifier: Apache-2.0
# cmake --install: the command, the mount helper where mount(8) looks for it, man pages; as examples the configuration and systemd units.

if(TARGET sstablefs)
	install(TARGETS sstablefs RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
if(TARGET mount.fuse.sstablefs)
	install(TARGETS mount.fuse.sstablefs RUNTIME DESTINATION "${SSTABLEFS_HELPER_DIR}")
endif()
foreach(section 1 5 8)
	file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/man/*.${section}")
	install(FILES ${pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
endforeach()
file(GLOB units CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/systemd/*")
install(FILES packaging/sstablefs.conf ${units} DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples")
install(FILES LICENSE README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
