// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Flow} from "../../contracts/storage/Flow.sol";
import {StorageMarket} from "../../contracts/storage/StorageMarket.sol";
import {StorageRewards} from "../../contracts/storage/StorageRewards.sol";
import {vm} from "./TestBase.sol";

struct Deployment {
    Flow flow;
    StorageMarket market;
    StorageRewards rewards;
}

uint256 constant PRICE = 1000;
uint256 constant LEASE_PERIOD = 90 days;
uint256 constant RELEASE_SECONDS = 93 days;
uint256 constant BLOCKS_PER_EPOCH = 50;

abstract contract StorageDeployment {
    /// The storage contracts behind their proxies, governed by `governor`; `mine` may claim.
    function deployStorage(
        address governor,
        address mine,
        uint256 chunkSectors
    ) internal returns (Deployment memory deployed) {
        address authority = address(new AccessManager(governor));
        deployed.rewards = new StorageRewards(authority, mine, chunkSectors, RELEASE_SECONDS);
        address flowImplementation = address(new Flow());
        address marketImplementation = address(new StorageMarket());
        address market = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        deployed.flow = Flow(
            address(
                new ERC1967Proxy(
                    flowImplementation,
                    abi.encodeCall(Flow.initialize, (authority, market, address(deployed.rewards), BLOCKS_PER_EPOCH))
                )
            )
        );
        deployed.market = StorageMarket(
            address(
                new ERC1967Proxy(
                    marketImplementation,
                    abi.encodeCall(
                        StorageMarket.initialize,
                        (authority, address(deployed.flow), address(deployed.rewards), PRICE, LEASE_PERIOD, 1 days)
                    )
                )
            )
        );
        require(address(deployed.market) == market, "the market is not where the flow expects it");
    }
}
