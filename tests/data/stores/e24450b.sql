-- SPDX-License-Identifier: Apache-2.0
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE attestations (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	time BIGINT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	machine_id INTEGER, 
	accepted BOOLEAN NOT NULL, 
	findings TEXT NOT NULL, 
	policy TEXT, 
	policy_version INTEGER, 
	peer TEXT NOT NULL, 
	clock_ms BIGINT, 
	reset_count BIGINT, 
	restart_count BIGINT, 
	ak_name TEXT, 
	released TEXT NOT NULL, 
	evidence BLOB, 
	FOREIGN KEY(machine_id) REFERENCES machines (id)
);
INSERT INTO "attestations" VALUES(1,1795348800000,'bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083',1,1,'[]',NULL,NULL,'192.0.2.1',60000,7,0,'000baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','["disk"]',NULL);
INSERT INTO "attestations" VALUES(2,1795435200000,'bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083',1,1,'[]',NULL,NULL,'192.0.2.1',60000,8,0,'000baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','["disk"]',NULL);
INSERT INTO "attestations" VALUES(3,1795348800000,'bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083',1,0,'[["image.unknown","not the image",true]]',NULL,NULL,'192.0.2.1',60000,9,0,'000baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','[]',X'7B2278223A317D');
INSERT INTO "attestations" VALUES(4,1795348800000,'ee2f450fd0d58ef6aeff112d7af32f625b7dda3773b697f34e76a28e48524a4d',NULL,0,'[]',NULL,NULL,'192.0.2.1',60000,7,0,'000baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','[]',NULL);
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	time BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "audit" VALUES(1,1795980260049,'init','operator.create','operator:anna','{"role":"admin"}','0000000000000000000000000000000000000000000000000000000000000000','eadcf8d6cf17aa5be9d89b3ac3cffd1b1194f86400b00322e8d45618e82b5c25');
INSERT INTO "audit" VALUES(2,1795980263546,'operator:anna','operator.login','operator:anna','{"peer":"192.0.2.9"}','eadcf8d6cf17aa5be9d89b3ac3cffd1b1194f86400b00322e8d45618e82b5c25','fa41e9efbb9f7fb979b2b37174149b98034c12332a1ed1f7719cad7cf2edc357');
INSERT INTO "audit" VALUES(3,1795980263615,'operator:anna','policy.put','policy:servers','{"comment":"first","sha256":"c35669a8680cfcf168019571e4a41fc8a329a4409bb6b67ab5f75bc364e4315f","version":1}','fa41e9efbb9f7fb979b2b37174149b98034c12332a1ed1f7719cad7cf2edc357','6308924bae7a1b4ca32774e4a9f215d8c9d3ff72388abc0f7fcc54699b289aa3');
INSERT INTO "audit" VALUES(4,1795980263783,'operator:anna','policy.put','policy:servers','{"comment":"second","sha256":"ca8332c1d220909cf3cf506f44b60e873ded5c7fc822f06b90468316f97b7b05","version":2}','6308924bae7a1b4ca32774e4a9f215d8c9d3ff72388abc0f7fcc54699b289aa3','3fdcac3807f6720780ff10ba4bee20429e13bd4dd65d20d0483104551ad3b69b');
INSERT INTO "audit" VALUES(5,1795980264247,'operator:anna','settings.set','settings','{"certificate":true,"default_policy":"servers","first_use":true,"hashes":true,"keep_evidence":"refused","pending_max":1000}','3fdcac3807f6720780ff10ba4bee20429e13bd4dd65d20d0483104551ad3b69b','0035bab31487f65545ccefad7be351cc11378543246b0a99688c1c776ac5a893');
INSERT INTO "audit" VALUES(6,1795980265083,'operator:anna','ek-root.add','ek-root:4b87219c32119f1b1420d2db0cd8110a93f1113901cb707222f09fcf21da778a','{"subject":"CN=test EK root"}','0035bab31487f65545ccefad7be351cc11378543246b0a99688c1c776ac5a893','bc0579fb5dd14e8d95bfcdff1531d837a93a6fbc44f23f1aca6dfbfbe206b2d7');
INSERT INTO "audit" VALUES(7,1795980265139,'operator:anna','ek-hash.add','ek-hash:abababababababababababababababababababababababababababababababab','{"name":"web-9","policy":"servers","tags":{"site":"north"}}','bc0579fb5dd14e8d95bfcdff1531d837a93a6fbc44f23f1aca6dfbfbe206b2d7','5856352c3914c4488bc0c1b62fdf974f2ff00714c5e2fd7a5a980717a70eecff');
INSERT INTO "audit" VALUES(8,1795980265235,'operator:anna','token.create','token:ci','{"expires_ms":null,"role":"operator"}','5856352c3914c4488bc0c1b62fdf974f2ff00714c5e2fd7a5a980717a70eecff','a42feba919527bf938ca771e5b728ecb70d1cb023c0b75eb095ab3e75431e46a');
INSERT INTO "audit" VALUES(9,1795980265407,'operator:anna','token.create','token:old','{"expires_ms":null,"role":"viewer"}','a42feba919527bf938ca771e5b728ecb70d1cb023c0b75eb095ab3e75431e46a','d4765951a03edeb904e64e275487814f7e52ab8daa5f8e80c97098e41e53c6a0');
INSERT INTO "audit" VALUES(10,1795980265769,'operator:anna','token.revoke','token:old','{}','d4765951a03edeb904e64e275487814f7e52ab8daa5f8e80c97098e41e53c6a0','185d133f2aec0aef44ca40b71029165b65ec95fa602023f51ac2282f4d22fe75');
INSERT INTO "audit" VALUES(11,1795980268147,'operator:anna','machine.add','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"enrolled_by":"operator","state":"enrolled"}','185d133f2aec0aef44ca40b71029165b65ec95fa602023f51ac2282f4d22fe75','0483eea32e9c2197dee03cc7c5de68c3b65d964b0555b6e3644ec1226bfe3a66');
INSERT INTO "audit" VALUES(12,1795980268211,'operator:anna','machine.name','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"name":"web-1"}','0483eea32e9c2197dee03cc7c5de68c3b65d964b0555b6e3644ec1226bfe3a66','27206dd51da91324f9b95f8a8730d0383d219157c3c41db8760239b030b99976');
INSERT INTO "audit" VALUES(13,1795980268441,'operator:anna','machine.tags','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"tags":{"site":"north"}}','27206dd51da91324f9b95f8a8730d0383d219157c3c41db8760239b030b99976','4387fac4d25ccb78661bfcea1629fa2eedd2d638c4dfed56952f01cada5109a7');
INSERT INTO "audit" VALUES(14,1795980268457,'operator:anna','machine.policy','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"policy":"servers"}','4387fac4d25ccb78661bfcea1629fa2eedd2d638c4dfed56952f01cada5109a7','dffd2885f2b6c1b69b01f0e8374d3a7deb0ad48a8e12bfed7cd8b632e83e5d1b');
INSERT INTO "audit" VALUES(15,1795980269605,'operator:anna','secret.put','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"kind":"luks-passphrase","name":"disk","parameters":{"volume":"root"},"version":1}','dffd2885f2b6c1b69b01f0e8374d3a7deb0ad48a8e12bfed7cd8b632e83e5d1b','64300af935daa2c0db0ede0e78ee312b5002d0db533dbb89b9f35ef9b542aa49');
INSERT INTO "audit" VALUES(16,1795980269694,'server','attestation.released','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"boot":[7,0],"peer":"192.0.2.1","released":[["disk",1]]}','64300af935daa2c0db0ede0e78ee312b5002d0db533dbb89b9f35ef9b542aa49','e85a9d4a30cd961cdfffbab2cfb982602a7ade25dda7c8cef96cdc1f04623e5d');
INSERT INTO "audit" VALUES(17,1795980270035,'server','attestation.released','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"boot":[8,0],"peer":"192.0.2.1","released":[["disk",1]]}','e85a9d4a30cd961cdfffbab2cfb982602a7ade25dda7c8cef96cdc1f04623e5d','033824569572be32fd8b5db0aa520a13102a962951c9374c1190c43bb4db9c9a');
INSERT INTO "audit" VALUES(18,1795980270087,'server','attestation.refused','machine:bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083','{"boot":[9,0],"peer":"192.0.2.1","reasons":["image.unknown"]}','033824569572be32fd8b5db0aa520a13102a962951c9374c1190c43bb4db9c9a','1d4426808448ec83ec0e4c2cef7cd327f388b58b8320e4ad865ffce8b30f5782');
INSERT INTO "audit" VALUES(19,1795980270191,'server','machine.add','machine:ee2f450fd0d58ef6aeff112d7af32f625b7dda3773b697f34e76a28e48524a4d','{"enrolled_by":"first-use","policy":"servers","state":"pending"}','1d4426808448ec83ec0e4c2cef7cd327f388b58b8320e4ad865ffce8b30f5782','aa86038fd16ff7397fcce4a3306fca062f597531db4321ef2532b7c5dc4f4c78');
INSERT INTO "audit" VALUES(20,1795980270598,'operator:anna','machine.add','machine:eff893e037d1d37b2a0eab7cec2a4ec34673211a47d88f1a82d7faed843e3190','{"enrolled_by":"operator","state":"enrolled"}','aa86038fd16ff7397fcce4a3306fca062f597531db4321ef2532b7c5dc4f4c78','8105ba883f835e92fc8045100dfbd5efeaafb1bc52dcf9b40a750d702ac51847');
INSERT INTO "audit" VALUES(21,1795980270619,'operator:anna','secret.put','machine:eff893e037d1d37b2a0eab7cec2a4ec34673211a47d88f1a82d7faed843e3190','{"kind":"luks-passphrase","name":"disk","parameters":{"volume":"root"},"version":1}','8105ba883f835e92fc8045100dfbd5efeaafb1bc52dcf9b40a750d702ac51847','d3725e268b99a312cbe5e478b7228f2bfc74d46ddd942731bdd40e2a5070cff6');
INSERT INTO "audit" VALUES(22,1795980270656,'operator:anna','secret.put','machine:eff893e037d1d37b2a0eab7cec2a4ec34673211a47d88f1a82d7faed843e3190','{"kind":"luks-passphrase","name":"disk","parameters":{"volume":"root"},"version":2}','d3725e268b99a312cbe5e478b7228f2bfc74d46ddd942731bdd40e2a5070cff6','80e585a14e8073e21c5a38ea42bf9b9f49f501514d48ae1760de07a707b2a839');
INSERT INTO "audit" VALUES(23,1795980270770,'operator:anna','secret.revoke','machine:eff893e037d1d37b2a0eab7cec2a4ec34673211a47d88f1a82d7faed843e3190','{"name":"disk","version":2}','80e585a14e8073e21c5a38ea42bf9b9f49f501514d48ae1760de07a707b2a839','b3dd423c24ab1ce9304b84c23051a4fdf2589ba65a2a3133334ebf201bd1c7c3');
INSERT INTO "audit" VALUES(24,1795980270808,'operator:anna','machine.retire','machine:eff893e037d1d37b2a0eab7cec2a4ec34673211a47d88f1a82d7faed843e3190','{"reason":"sold","state":"retired"}','b3dd423c24ab1ce9304b84c23051a4fdf2589ba65a2a3133334ebf201bd1c7c3','22787badf4c238183b1bc365c8c903cb27f66dd1b6d1bb20b70d1dc68acac4a4');
CREATE TABLE audit_head (
	id INTEGER NOT NULL, 
	seq BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	mac BLOB NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT audit_head_one CHECK (id = 1)
);
INSERT INTO "audit_head" VALUES(1,24,'22787badf4c238183b1bc365c8c903cb27f66dd1b6d1bb20b70d1dc68acac4a4',X'4EDD843A8F4635A4884802137C6B279A4648D336B9E558D9F4E3A5A35D1105C2');
CREATE TABLE ek_hashes (
	sha256 VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	policy TEXT, 
	seal BLOB NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO "ek_hashes" VALUES('abababababababababababababababababababababababababababababababab','web-9','{"site":"north"}','servers',X'FF54D3AEDC5DAD5BEF88FDFA35D556648CAE64E8D9B6D12F7CB1337B6EDB4A7D');
CREATE TABLE ek_roots (
	sha256 VARCHAR(64) NOT NULL, 
	certificate BLOB NOT NULL, 
	subject TEXT NOT NULL, 
	seal BLOB NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO "ek_roots" VALUES('4b87219c32119f1b1420d2db0cd8110a93f1113901cb707222f09fcf21da778a',X'3082012F3081D6A003020102020101300A06082A8648CE3D04030230173115301306035504030C0C7465737420454B20726F6F74301E170D3236313132323132303030305A170D3236313132323132303030305A30173115301306035504030C0C7465737420454B20726F6F743059301306072A8648CE3D020106082A8648CE3D030107034200048E533B6FA0BF7B4625BB30667C01FB607EF9F8B8A80FEF5B300628703187B2A373EB1DBDE03318366D069F83A6F5900053C73633CB041B21C55E1A86C1F400B4A3133011300F0603551D130101FF040530030101FF300A06082A8648CE3D0403020348003045022100E4ABFFC4F13B289463D073C2556A2ED05A80E900F4894725BBCA8AB42E0C2DC402204DEA2D7116AB6D63FB99E7720A0C2A32A3A08AACD5D6BA106087CBEC7540FAB5','CN=test EK root',X'7913668786C07D8FED942FAB35DC7C9B7250E55E2D351C14C142776D2A8360F9');
CREATE TABLE machines (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	fingerprint VARCHAR(64) NOT NULL, 
	ek_public BLOB NOT NULL, 
	ek_algorithm VARCHAR(16) NOT NULL, 
	certificate BLOB, 
	certificate_info TEXT NOT NULL, 
	name TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	enrolled_by VARCHAR(16) NOT NULL, 
	tags TEXT NOT NULL, 
	policy TEXT, 
	first_seen BIGINT NOT NULL, 
	last_seen BIGINT NOT NULL, 
	clock_ms BIGINT, 
	reset_count BIGINT, 
	restart_count BIGINT, 
	ak_name TEXT, 
	last_accepted BOOLEAN, 
	last_findings TEXT, 
	seal BLOB NOT NULL, 
	CONSTRAINT machines_state CHECK (state IN ('pending', 'enrolled', 'refused', 'retired')), 
	CONSTRAINT machines_enrolled_by CHECK (enrolled_by IN ('certificate', 'hash', 'first-use', 'operator')), 
	UNIQUE (fingerprint)
);
INSERT INTO "machines" VALUES(1,'bbac7b114336e6d02fc7db2cd8fedb4ec4785f0c34036d065e14e12095eb8083',X'54504D545F5055424C49432031','rsa2048',NULL,'{}','web-1','enrolled','operator','{"site":"north"}','servers',1795980268147,1795348800000,60000,9,0,'000baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,'[["image.unknown","not the image",true]]',X'3F13B1FD4D677AC88CDF0A9728F1D028A2AC287FD1D79D4CFBE6D64B8401D5B9');
INSERT INTO "machines" VALUES(2,'ee2f450fd0d58ef6aeff112d7af32f625b7dda3773b697f34e76a28e48524a4d',X'54504D545F5055424C49432032','rsa2048',NULL,'{}','','pending','first-use','{}','servers',1795980270191,1795980270191,NULL,NULL,NULL,NULL,NULL,NULL,X'38BE91C7CBBF7175CB7EE263B234CD235A4DB0C32A5C83FFFCD46F75D13F314F');
INSERT INTO "machines" VALUES(3,'eff893e037d1d37b2a0eab7cec2a4ec34673211a47d88f1a82d7faed843e3190',X'54504D545F5055424C49432033','rsa2048',NULL,'{}','','retired','operator','{}',NULL,1795980270598,1795980270598,NULL,NULL,NULL,NULL,NULL,NULL,X'3904F9949540F2F0B8FEDA7DDA9C2369566230868ECEE855347C178AEFC02A10');
CREATE TABLE nonces (
	digest BLOB NOT NULL, 
	expires BIGINT NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "nonces" VALUES(X'654E2C87D7820CBEB1B5B550F43166549582B5B353E00E277283BFC72DADF1B4',1795349100000);
INSERT INTO "nonces" VALUES(X'E889D30B85421E8CC830D15F3B5008C1896600E9A9129E09BD301483CEFE8981',1795349100000);
INSERT INTO "nonces" VALUES(X'801125136D32A6287CE42B2630F06D53DCB3A0C8DE7D1ACE094B016A950A04D2',1795349100000);
CREATE TABLE operators (
	name TEXT NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	password TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	seal BLOB NOT NULL, 
	PRIMARY KEY (name), 
	CONSTRAINT operators_role CHECK (role IN ('viewer', 'operator', 'admin'))
);
INSERT INTO "operators" VALUES('anna','admin','scrypt$15$8$1$d0n2DJtgB14D1DRSjpL4+g==$goItIHf0KLxlisLMld4ya3h8pZUHZAFjSstIo6cbiMM=',1795980260049,'init',X'4258810800EFE370C48125E02BB314494A10E4479ED989B12E1FFA45C43EB083');
CREATE TABLE policies (
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	created BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	comment TEXT NOT NULL, 
	seal BLOB NOT NULL, 
	PRIMARY KEY (name, version)
);
INSERT INTO "policies" VALUES('servers',1,'version = 1
name = "servers"
allow_any_image = true
','c35669a8680cfcf168019571e4a41fc8a329a4409bb6b67ab5f75bc364e4315f',1795980263615,'operator:anna','first',X'933A7B866A3E05ECD8EA3704BA849FD46655FA99E0B2BD8077E4A7AFFF29937A');
INSERT INTO "policies" VALUES('servers',2,'version = 1
name = "servers"
allow_any_image = true
# second
','ca8332c1d220909cf3cf506f44b60e873ded5c7fc822f06b90468316f97b7b05',1795980263783,'operator:anna','second',X'0CBD41979E05AF5F7E9B79D9D32BAC3D91A5D3990E3B69F7262736D66373FFFF');
CREATE TABLE releases (
	machine_id INTEGER NOT NULL, 
	reset_count BIGINT NOT NULL, 
	restart_count BIGINT NOT NULL, 
	time BIGINT NOT NULL, 
	PRIMARY KEY (machine_id, reset_count, restart_count), 
	FOREIGN KEY(machine_id) REFERENCES machines (id)
);
INSERT INTO "releases" VALUES(1,7,0,1795348800000);
INSERT INTO "releases" VALUES(1,8,0,1795435200000);
CREATE TABLE secrets (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	machine_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	parameters TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	wrapped BLOB, 
	key_id TEXT NOT NULL, 
	sealed BLOB, 
	created BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	revoked BIGINT, 
	CONSTRAINT secrets_destroyed CHECK ((revoked IS NULL) = (wrapped IS NOT NULL) AND (revoked IS NULL) = (sealed IS NOT NULL)), 
	FOREIGN KEY(machine_id) REFERENCES machines (id)
);
INSERT INTO "secrets" VALUES(1,1,'disk','luks-passphrase','{"volume":"root"}',1,X'5253292A78887E9EA0B858E31994C3A87ECC0823D1520916E7EE8848296E92E855428DE6CA55336E5F7F7AC27E04627836D0C20D8F550C7DD92CBD12C4CA4975B65F510EFC76FB54BD04E4702B3DBDAD11773DB26529057E467CA0B0','local:7459d9768991602f',X'7A0F90BB555E00000169C7B67E9BBD5D4354D5EDBA64D4D7AC1B9C0CB051A53DEDDBDEB5C7B4E41FCABD3A667EAAC5F8DE0FE4',1795980269605,'operator:anna',NULL);
INSERT INTO "secrets" VALUES(2,3,'disk','luks-passphrase','{"volume":"root"}',1,NULL,'local:7459d9768991602f',NULL,1795980270619,'operator:anna',1795980270656);
INSERT INTO "secrets" VALUES(3,3,'disk','luks-passphrase','{"volume":"root"}',2,NULL,'local:7459d9768991602f',NULL,1795980270656,'operator:anna',1795980270770);
CREATE TABLE sessions (
	digest BLOB NOT NULL, 
	operator TEXT NOT NULL, 
	started BIGINT NOT NULL, 
	used BIGINT NOT NULL, 
	seal BLOB NOT NULL, 
	PRIMARY KEY (digest), 
	FOREIGN KEY(operator) REFERENCES operators (name) ON DELETE CASCADE
);
INSERT INTO "sessions" VALUES(X'232CFCFA297320BDC5DCDD62212E883CA8DC2B467C74B79DCBE93AFBA6433608','anna',1795980263546,1795980263546,X'0F1FBE38259BC116B61C26EFDE48C71BB646EBCF5F4B4BA65127BE146ED2B2E6');
CREATE TABLE settings (
	id INTEGER NOT NULL, 
	value TEXT NOT NULL, 
	seal BLOB NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT settings_one CHECK (id = 1)
);
INSERT INTO "settings" VALUES(1,'{"certificate":true,"default_policy":"servers","first_use":true,"hashes":true,"keep_evidence":"refused","pending_max":1000}',X'1F5F85E0BF6E701A97FEA464A5D01B5816CDC04E73A408C9694D9E97FF5D30A7');
CREATE TABLE store_key (
	id INTEGER NOT NULL, 
	wrapped BLOB NOT NULL, 
	key_id TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT store_key_one CHECK (id = 1)
);
INSERT INTO "store_key" VALUES(1,X'EE4BAC045A4179452D80D56FA76A53B9A3BB6C01D1EF2294D0F531BB644A1CD0E969B044F9728B8BD53FBC8B7A52C5BF7C36F3DCCC1030040E58B818CC02D412AC1808788A105F7EFE310C2D0EC930CA22534815FAD5267DD643ADBE','local:7459d9768991602f');
CREATE TABLE tokens (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	created BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	expires BIGINT, 
	revoked BIGINT, 
	last_used BIGINT, 
	seal BLOB NOT NULL, 
	CONSTRAINT tokens_role CHECK (role IN ('viewer', 'operator', 'admin')), 
	UNIQUE (digest)
);
INSERT INTO "tokens" VALUES(1,'ci',X'63C8CEBD6E35907627BEED85D0014350A68B4F574FF0E0DC03E759504BD52404','operator',1795980265235,'operator:anna',NULL,NULL,NULL,X'9758ECEBD23587EA1533D914FBCFFFDF40A71BE665A3DD7BF2E57F842D3EE69E');
INSERT INTO "tokens" VALUES(2,'old',X'A2DFBF55F00D659350D4C600FA739568B8F2118ACD696753AF52EC7F4CF9A8BA','viewer',1795980265407,'operator:anna',NULL,1795980265769,NULL,X'0AC3D97C11C1F34D738B9085FC008B3C1449CBB67DAFC93D236F8E25DAE047F5');
CREATE INDEX machines_by_state ON machines (state);
CREATE INDEX machines_by_policy ON machines (policy);
CREATE UNIQUE INDEX secrets_versions ON secrets (machine_id, name, version);
CREATE UNIQUE INDEX secrets_current ON secrets (machine_id, name) WHERE revoked IS NULL;
CREATE UNIQUE INDEX tokens_current ON tokens (name) WHERE revoked IS NULL;
CREATE INDEX nonces_by_expiry ON nonces (expires);
CREATE INDEX attestations_by_machine ON attestations (machine_id, id);
CREATE INDEX attestations_by_time ON attestations (time);
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'audit: append_only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'audit: no_delete'); END;
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq) BEGIN SELECT RAISE(ABORT, 'audit: no_replace'); END;
CREATE TRIGGER policies_append_only BEFORE UPDATE ON policies WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'policies: append_only'); END;
CREATE TRIGGER policies_no_delete BEFORE DELETE ON policies WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'policies: no_delete'); END;
CREATE TRIGGER policies_no_replace BEFORE INSERT ON policies WHEN EXISTS (SELECT 1 FROM policies WHERE name = NEW.name AND version = NEW.version) BEGIN SELECT RAISE(ABORT, 'policies: no_replace'); END;
CREATE TRIGGER machines_fixed BEFORE UPDATE ON machines WHEN OLD.fingerprint <> NEW.fingerprint OR OLD.ek_public <> NEW.ek_public BEGIN SELECT RAISE(ABORT, 'machines: fixed'); END;
CREATE TRIGGER machines_no_delete BEFORE DELETE ON machines WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'machines: no_delete'); END;
CREATE TRIGGER machines_final BEFORE UPDATE ON machines WHEN OLD.state = 'retired' AND NEW.state <> 'retired' BEGIN SELECT RAISE(ABORT, 'machines: final'); END;
CREATE INDEX sessions_by_operator ON sessions (operator);
CREATE INDEX sessions_by_start ON sessions (started);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tokens',2);
INSERT INTO "sqlite_sequence" VALUES('machines',3);
INSERT INTO "sqlite_sequence" VALUES('secrets',3);
INSERT INTO "sqlite_sequence" VALUES('attestations',4);
COMMIT;
