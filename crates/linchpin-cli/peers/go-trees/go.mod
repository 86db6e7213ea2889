module trees
go 1.24
