module github.com/antares-actor/antares-actor

go 1.26
